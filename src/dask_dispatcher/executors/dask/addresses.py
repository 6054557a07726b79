"""What users may write for a scheduler's address."""

from __future__ import annotations

import re

__all__ = ["parse_address"]

_ADDRESS = re.compile(
    r"(?:(?P<scheme>tcp|tls)://)?(?P<host>\[[0-9a-fA-F:.%]+\]|[A-Za-z0-9_.\-]+):(?P<port>[0-9]{1,5})"
)


def parse_address(address: str, *, tls: bool = False) -> str:
    """Return a scheduler's address with its scheme.

    Parameters
    ----------
    address : str
        ``tcp://host:port``, ``tls://host:port`` or ``host:port``.
    tls : bool, default False
        Whether an address without a scheme means TLS.

    Raises
    ------
    ValueError
        For anything else.

    Examples
    --------
    >>> parse_address("127.0.0.1:8786")
    'tcp://127.0.0.1:8786'
    """
    match = _ADDRESS.fullmatch(address)
    if match is None or not 0 < int(match["port"]) < 65536:
        raise ValueError(
            f"{address[:200]!r} is no scheduler address; write tcp://host:port, tls://host:port or "
            "host:port, with a port from 1 to 65535"
        )
    scheme = match["scheme"] or ("tls" if tls else "tcp")
    return f"{scheme}://{match['host']}:{match['port']}"
