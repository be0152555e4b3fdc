"""The networks of the configuration, and where their secrets are read from."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from bot.config_words import ConfigError, unreadable

_MATRIX_ID = re.compile(r"@[^:\s]+:\S+")


class Part(BaseModel):
    """A section of the file: unknown keys are mistakes, nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)


class Local(Part):
    """The chat surface of this machine: a Unix socket that only the owner can open."""

    enabled: bool = True


class Matrix(Part):
    """One account on one homeserver. Exactly one of password and token, best as a file."""

    homeserver: str
    user_id: str
    password_file: Path | None = None
    token_file: Path | None = None
    password_value: SecretStr | None = Field(default=None, alias="password")
    token_value: SecretStr | None = Field(default=None, alias="token")

    @field_validator("homeserver")
    @classmethod
    def _url(cls, value: str) -> str:
        if not re.fullmatch(r"https?://[^\s/]+(/\S*)?", value):
            raise ValueError(f"`{value}` is no address. Write it like `http://127.0.0.1:8008`.")
        return value.rstrip("/")

    @field_validator("user_id")
    @classmethod
    def _id(cls, value: str) -> str:
        return matrix_id(value)

    @model_validator(mode="after")
    def _one_secret(self) -> Matrix:
        given = [self.password_file, self.token_file, self.password_value, self.token_value]
        if sum(one is not None for one in given) != 1:
            raise ValueError("needs exactly one secret. Give `password_file:` or `token_file:`, not both.")
        return self

    def password(self) -> str | None:
        """The password, or None when there is a token. Raises ConfigError for an unreadable file."""
        return _secret(self.password_value, self.password_file, "connectors.matrix.password_file")

    def token(self) -> str | None:
        """The access token, or None when there is a password. Raises ConfigError for an unreadable file."""
        return _secret(self.token_value, self.token_file, "connectors.matrix.token_file")


class Discord(Part):
    """Checked, so that a file for a later version is not refused in its details; not connected yet."""

    token_file: Path
    application_id: str | None = None
    guild_id: str | None = None
    api_base: str | None = None
    gateway_url: str | None = None


class Connectors(Part):
    local: Local = Local()
    matrix: Matrix | None = None
    discord: Discord | None = None


def matrix_id(value: str) -> str:
    """The id as it is. Raises ValueError for what is no whole Matrix id."""
    if not _MATRIX_ID.fullmatch(value):
        raise ValueError(
            f'`{value}` is no Matrix id. Write it whole and in quotes, like `"@ana:example.org"`.'
        )
    return value


def _secret(value: SecretStr | None, file: Path | None, key: str) -> str | None:
    if value is not None:
        return value.get_secret_value()
    if file is None:
        return None
    try:
        text = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as problem:
        raise ConfigError(unreadable(file, key, problem)) from None
    if not text:
        raise ConfigError(f"The secret {file} ({key}) is empty. Put the secret into it, one line.")
    return text
