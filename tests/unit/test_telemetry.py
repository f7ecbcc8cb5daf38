import io
import json

from payments.telemetry import logger


def test_a_card_number_never_reaches_a_log(log: io.StringIO) -> None:
    try:
        raise ValueError("4242-4242-4242-4242")
    except ValueError:
        logger.exception("failed on 4242424242424242", extra={"field": ["4242 4242 4242 4242"]})
    assert "[card number]" in log.getvalue()
    assert "4242" not in log.getvalue()


def test_a_masked_line_is_still_json(log: io.StringIO) -> None:
    logger.info("numbers", extra={"number": 4242424242424242, "list": [4242424242424242], "4242424242424242": 7})
    line = json.loads(log.getvalue())
    assert (line["number"], line["list"], line["[card number]"]) == ("[card number]", ["[card number]"], 7)
