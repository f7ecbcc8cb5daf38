import pytest

from payments.runtime.settings import SettingsError, amounts, choice, count, currency, text


@pytest.mark.parametrize("environment", [{}, {"NAME": ""}])
def test_a_missing_setting_is_named(environment: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="NAME is not set"):
        text("NAME", environment)


@pytest.mark.parametrize("value", ["0", "-1", "x", "1.5", "\u0661"])
def test_a_count_is_a_whole_number_from_1(value: str) -> None:
    with pytest.raises(SettingsError, match="NAME must be a whole number"):
        count("NAME", {"NAME": value})


def test_a_setting_is_read() -> None:
    assert (text("N", {"N": "x"}), count("N", {"N": "3"}), choice("N", ("a",), {"N": "a"})) == ("x", 3, "a")


def test_a_choice_names_the_choices() -> None:
    with pytest.raises(SettingsError, match="must be one of a, b"):
        choice("NAME", ("a", "b"), {"NAME": "c"})


@pytest.mark.parametrize("value", ["usd", "XXX", "BGN"])
def test_a_currency_is_one_that_payments_can_be_made_in(value: str) -> None:
    with pytest.raises(SettingsError, match="NAME must be the code"):
        currency("NAME", {"NAME": value})


@pytest.mark.parametrize("value", ["x", "[]", '{"EUR": 1.5}', '{"EUR": "0.001"}', '{"XXX": "1"}'])
def test_amounts_are_decimals_by_currency(value: str) -> None:
    with pytest.raises(SettingsError, match="NAME must be a JSON object"):
        amounts("NAME", {"NAME": value})


def test_amounts_are_read_in_minor_units() -> None:
    assert amounts("NAME", {"NAME": '{"EUR": "10.50", "JPY": "7"}'}) == {"EUR": 1050, "JPY": 7}
    assert amounts("NAME", {}) == {}
