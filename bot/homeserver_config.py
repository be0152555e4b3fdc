"""What a Synapse of one's own is configured to be: private, on loopback, without rate limits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_FREE = {"per_second": 100_000, "burst_count": 100_000}
# Every limiter of Synapse, lifted: the clients of this server are the owner's own bot and devices.
_FLAT_LIMITS = (
    "rc_message",
    "rc_registration",
    "rc_registration_token_validity",
    "rc_admin_redaction",
    "rc_joins_per_room",
    "rc_key_requests",
    "rc_3pid_validation",
    "rc_third_party_invite",
    "rc_media_create",
    "rc_delayed_event_mgmt",
    "rc_room_creation",
    "rc_reports",
    "rc_user_directory",
    "rc_profile",
)
_NESTED_LIMITS = {
    "rc_login": ("address", "account", "failed_attempts"),
    "rc_joins": ("local", "remote"),
    "rc_invites": ("per_room", "per_user", "per_issuer"),
    "rc_presence": ("per_user",),
}


def log_config(folder: Path) -> dict[str, Any]:
    return {
        "version": 1,
        "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
        "handlers": {
            "file": {
                "class": "logging.handlers.RotatingFileHandler",
                "filename": str(folder / "homeserver.log"),
                "maxBytes": 10_000_000,
                "backupCount": 2,
                "formatter": "plain",
            }
        },
        "root": {"level": "WARNING", "handlers": ["file"]},
        "disable_existing_loggers": False,
    }


def main_config(folder: Path, port: int, server_name: str, hidden: dict[str, str]) -> dict[str, Any]:
    limits: dict[str, Any] = dict.fromkeys(_FLAT_LIMITS, _FREE)
    limits |= {name: dict.fromkeys(parts, _FREE) for name, parts in _NESTED_LIMITS.items()}
    resources = [{"names": ["client"], "compress": False}]
    listener = {
        "port": port,
        "type": "http",
        "tls": False,
        "bind_addresses": ["127.0.0.1"],
        "resources": resources,
    }
    return {
        "server_name": server_name,
        "public_baseurl": f"http://127.0.0.1:{port}/",
        "listeners": [listener],
        "database": {"name": "sqlite3", "args": {"database": str(folder / "homeserver.db")}},
        "log_config": str(folder / "log.yaml"),
        "media_store_path": str(folder / "media"),
        "signing_key_path": str(folder / "signing.key"),
        "report_stats": False,
        "suppress_key_server_warning": True,
        "trusted_key_servers": [],
        "federation_domain_whitelist": [],
        "enable_registration": False,
        "presence": {"enabled": False},
        "url_preview_enabled": False,
        "enable_room_list_search": False,
        "max_upload_size": "50M",
        # Version 12 has ids without a server part and creators outside the power levels; clients lag behind.
        "default_room_version": "11",
        # By default a repeated first sync is answered from a cache, with its old position.
        "caches": {"sync_response_cache_duration": "0s"},
        **hidden,
        **limits,
    }
