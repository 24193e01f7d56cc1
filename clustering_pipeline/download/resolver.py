"""Host names to addresses, each checked, so that the connection goes to an address that was judged."""

import asyncio
import ipaddress
import socket
from concurrent.futures import ThreadPoolExecutor

from aiohttp.abc import AbstractResolver, ResolveResult

from clustering_pipeline.download.addresses import AddressGuard, BlockedAddressError

# The C library's resolver blocks a thread for as long as a dead name server takes to time out.
_LOOKUPS_AT_ONCE = 16


class GuardedResolver(AbstractResolver):
    """Resolves with the system's resolver and hands on only addresses that the guard lets through."""

    def __init__(self, guard: AddressGuard) -> None:
        self._guard = guard
        self._threads = ThreadPoolExecutor(_LOOKUPS_AT_ONCE, thread_name_prefix="dns")

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[ResolveResult]:
        """Return the permitted addresses of `host`; raises BlockedAddressError when there are only others, OSError."""
        loop = asyncio.get_running_loop()
        answers = await loop.run_in_executor(self._threads, _look_up, host, port, family)
        permitted, refusal = [], None
        for answer in answers:
            try:
                self._guard.check(host, port, ipaddress.ip_address(answer["host"]))
                permitted.append(answer)
            except BlockedAddressError as error:
                refusal = error
        if refusal and not permitted:
            raise refusal
        return permitted

    async def close(self) -> None:
        """Stop taking look-ups; those under way end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _look_up(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    answers: list[ResolveResult] = []
    for kind, _, protocol, _, address in socket.getaddrinfo(host, port, family, socket.SOCK_STREAM):
        if kind not in (socket.AF_INET, socket.AF_INET6) or (kind == socket.AF_INET6 and len(address) == 4 and address[3]):
            # An address with a zone is link-local.
            continue
        answers.append(
            ResolveResult(
                hostname=host, host=str(address[0]), port=port, family=kind, proto=protocol, flags=socket.AI_NUMERICHOST
            )
        )
    if not answers:
        raise socket.gaierror(socket.EAI_NONAME, "no usable address")
    return answers
