"""The functions' settings: environment variables, read once; errors name the variable."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from payments.domain.currencies import EXPONENTS, WITHDRAWN
from payments.domain.money import Money

if TYPE_CHECKING:
    from collections.abc import Mapping


class SettingsError(RuntimeError):
    """A setting is missing or wrong; the message names the variable."""


def text(name: str, environment: Mapping[str, str] = os.environ) -> str:
    """Return a variable's value; raises SettingsError if it is missing or empty."""
    value = environment.get(name)
    if not value:
        raise SettingsError(
            f"the environment variable {name} is not set: the function's `environment` in Terraform sets it"
        )
    return value


def count(name: str, environment: Mapping[str, str] = os.environ) -> int:
    """Return a variable's value as a number from 1; raises SettingsError if it is missing or not one."""
    value = text(name, environment)
    if not value.isascii() or not value.isdigit() or int(value) < 1:
        raise SettingsError(f"the environment variable {name} must be a whole number from 1, not {value!r}")
    return int(value)


def choice(name: str, choices: tuple[str, ...], environment: Mapping[str, str] = os.environ) -> str:
    """Return a variable's value; raises SettingsError if it is not one of ``choices``."""
    value = text(name, environment)
    if value not in choices:
        raise SettingsError(f"the environment variable {name} must be one of {', '.join(choices)}, not {value!r}")
    return value


def currency(name: str, environment: Mapping[str, str] = os.environ) -> str:
    """Return a variable's value; raises SettingsError if it is no currency that a payment can have."""
    value = text(name, environment)
    if value not in EXPONENTS or value in WITHDRAWN:
        raise SettingsError(f"the environment variable {name} must be the code of an ISO 4217 currency, not {value!r}")
    return value


def amounts(name: str, environment: Mapping[str, str] = os.environ) -> dict[str, int]:
    """Return the minor units of a JSON object of amounts by currency, such as {"EUR": "10000.00"}; empty if not set.

    Raises SettingsError if it is not such an object.
    """
    try:
        limits = json.loads(environment.get(name) or "{}")
        return {code: Money.parse(amount, code).minor for code, amount in limits.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise SettingsError(
            f"the environment variable {name} must be a JSON object of amounts by currency: {error}"
        ) from error


def words(name: str, environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return the words of a variable's value; none if it is not set."""
    return (environment.get(name) or "").split()
