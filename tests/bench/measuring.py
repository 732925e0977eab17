"""Measures everything about one size of the facility."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from http.client import HTTPException
from itertools import islice
from pathlib import Path
from statistics import median

from tests.bench import growth, wrk
from tests.bench.frame import Frame
from tests.bench.launches import Zocalo
from tests.bench.limits import Limits
from tests.bench.loading import Loaded
from tests.bench.operations import Operation, Requests, mixed_day, operations
from tests.bench.results import MIXED, Found, Launches, Measured, medians
from tests.bench.samples import Sample
from tests.bench.serving import Got, Service
from tests.bench.sizes import AT_ONCE, MIXED_LAUNCHES, Plan
from tests.bench.tape import Step, Tape, Transaction
from tests.bench.wrk import Ask
from tests.servers.mariadb import MariaDB
from tests.servers.nginx import Nginx
from tests.servers.reaper import Reaper
from tests.support.environments import execute

WORKERS = 2
FIRST = "status of a running job"  # what is asked of a service that has just been started
STARTS = 3
FIRST_BYTES = 5  # requests whose first byte is waited for
INTRODUCTIONS = 2  # times FIRST_BYTES
SETTLED_SECONDS = 62.0  # after which the service takes what it has seen of a program for settled
WARM_SECONDS = 1.0
BARE_SECONDS = 1.0  # for what one connection can do alone


def say(text: str) -> None:
    """To whoever waits."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")


class Bench:
    """The service on one facility, with everything that it is compared with."""

    def __init__(
        self,
        reaper: Reaper,
        mariadb: MariaDB,
        loaded: Loaded,
        plan: Plan,
        fraction: float,
        settings: Mapping[str, str],
    ) -> None:
        self._loaded = loaded
        self._plan = plan
        self._fraction = fraction
        self._folder = reaper.new_folder("wrk")
        self._service = Service(reaper, loaded.environment, WORKERS, behind=[mariadb.pid], settings=settings)
        self._frame = Frame(reaper, WORKERS)
        self._nginx = Nginx(reaper)
        self._fresh = iter(loaded.fresh)
        self._first_ask = next(one for one in operations(loaded) if one.name == FIRST).asks[0]
        self._introduced = 0.0

    def measure(self) -> Found:
        """Everything, as often as the plan says."""
        loaded = self._loaded
        with Tape(loaded.environment) as tape:
            say("recording what the service asks the database")
            steps = {one.name: self._record(tape, one) for one in operations(loaded)}
            launch = tape.launch(Requests.about(loaded).launch(), next(self._fresh))
            costs = growth.costs(tape, loaded) if len(self._plan.growth) > 1 else []
        with ExitStack() as stack:
            zocalo = Zocalo(loaded.environment)
            stack.enter_context(zocalo.listening())
            limits = stack.enter_context(Limits(loaded.environment, WORKERS))
            try:
                runs = [self._run(limits, zocalo, steps, launch, number) for number in range(1, self._plan.runs + 1)]
            except Exception:
                say(f"the service's last words:\n{self._service.last_words()}")
                raise
        return replace(medians(runs), costs=costs)

    def _record(self, tape: Tape, operation: Operation) -> list[Step]:
        if operation.settled:
            tape.reads(operation.asks[0])
            time.sleep(SETTLED_SECONDS)
        return tape.reads(operation.asks[0])

    def _run(
        self, limits: Limits, zocalo: Zocalo, steps: dict[str, list[Step]], launch: Transaction, number: int
    ) -> Found:
        say(f"run {number}")
        starts = [self._start() for _ in range(STARTS)]
        self._service.settle()
        idle = self._service.memory()
        self._introduce()
        found = [self._operation(one) for one in operations(self._loaded)]
        launches = self._launches(zocalo)
        found.append(self._mixed())
        memory = self._service.memory()
        found = self._without_sharing(found)
        fresh_memory = self._service.memory()
        self._service.stop()
        say("the limits")
        found = [self._limited(one, limits, steps.get(one.name, [])) for one in found]
        found = self._framed(found)
        return Found(
            fraction=self._fraction,
            rows=self._loaded.rows,
            load_seconds=self._loaded.seconds,
            operations=found,
            launches=self._bare(limits, launch, launches),
            start_seconds=median(starts),
            idle=idle,
            loaded=memory,
            fresh=fresh_memory,
        )

    def _start(self) -> float:
        """Start it anew; the seconds until it told the state of a job."""
        self._service.stop()
        return self._service.start(self._first_ask.path, self._first_ask.headers)

    def _introduce(self) -> None:
        """Ask for everything once, of each worker if chance will have it: new connections go to either."""
        for operation in operations(self._loaded):
            for _ in range(INTRODUCTIONS):
                self._first_byte(operation.asks[0])
        self._introduced = time.monotonic()

    def _operation(self, operation: Operation) -> Measured:
        """At every number of connections."""
        plan = self._plan
        asks = self._conditional(operation) if operation.conditional else operation.asks
        if not asks:
            say(f"{operation.name}: the service does not offer this")
            return Measured(operation.name, {}, patient=operation.patient)
        seconds = plan.patient_seconds if operation.patient else plan.seconds
        numbers = plan.patient_connections if operation.patient else plan.connections
        if not operation.crowd:
            numbers = tuple(number for number in numbers if number <= AT_ONCE)
        samples = self._samples(operation, asks, numbers, seconds)
        _tell(operation.name, samples)
        return Measured(operation.name, samples, first_byte=self._first_byte(asks[0]), patient=operation.patient)

    def _samples(
        self, operation: Operation, asks: Sequence[Ask], numbers: Sequence[int], seconds: float
    ) -> dict[int, Sample]:
        if operation.settled:
            time.sleep(max(0.0, self._introduced + SETTLED_SECONDS - time.monotonic()))
        self._wrk(asks, AT_ONCE, WARM_SECONDS)
        return {number: self._wrk(asks, number, seconds) for number in numbers}

    def _without_sharing(self, found: Sequence[Measured]) -> list[Measured]:
        """With what polls cost where each of them is looked for anew."""
        say("without sharing")
        polled = {one.name: one for one in operations(self._loaded) if one.polled}
        self._service.sharing = False
        try:
            self._start()
            self._introduce()
            return [self._fresh_of(one, polled[one.name]) if one.name in polled else one for one in found]
        finally:
            self._service.sharing = True

    def _fresh_of(self, measured: Measured, operation: Operation) -> Measured:
        seconds = self._plan.patient_seconds if operation.patient else self._plan.seconds
        fresh = self._samples(operation, operation.asks, (1, AT_ONCE), seconds)
        _tell(operation.name, fresh)
        return replace(measured, fresh=fresh, fresh_first_byte=self._first_byte(operation.asks[0]))

    def _first_byte(self, ask: Ask) -> float | None:
        """Of requests one after the other; `None` if there was no answer at all."""
        try:
            return median(self._service.get(ask.path, ask.headers).first_byte for _ in range(FIRST_BYTES))
        except (OSError, HTTPException) as error:
            say(f"no answer to {ask.path}: {error!r}")
            return None

    def _conditional(self, operation: Operation) -> tuple[Ask, ...]:
        """The same requests from somebody who has the answers; none if they cannot be known again."""
        out = []
        for ask in operation.asks:
            etag = _header(self._service.get(ask.path, ask.headers), "etag")
            if etag is None:
                return ()
            out.append(replace(ask, headers={**ask.headers, "If-None-Match": etag}))
        return tuple(out)

    def _wrk(self, asks: Sequence[Ask], connections: int, seconds: float, ids: Sequence[int] = ()) -> Sample:
        """One sample, and then quiet: what is still answered to nobody must not slow down the next."""
        sample = wrk.measure(self._folder, self._service.port, asks, connections=connections, seconds=seconds, ids=ids)
        if not self._service.settle():
            say(f"still busy with what {connections} connections have asked; starting the service anew")
            self._start()
            self._service.settle()
        return sample

    def _launches(self, zocalo: Zocalo) -> dict[str, Sample]:
        """Alone and at once, with the delays until Zocalo has the message."""
        out = {}
        for name, connections in (("alone", 1), ("at_once", AT_ONCE)):
            since = zocalo.last()
            ask = Requests.about(self._loaded).launch()
            out[name] = self._wrk([ask], connections, self._plan.patient_seconds, self._take(self._plan.launches))
            out[f"arrival_{name}"] = zocalo.delays(since)
            _tell(f"launches {name}", {connections: out[name]})
            _tell("  to the broker", {connections: out[f"arrival_{name}"]})
        return out

    def _mixed(self) -> Measured:
        """A day's requests by many clients; they launch too."""
        asks = mixed_day(self._loaded)
        samples = {
            number: self._wrk(asks, number, self._plan.seconds, self._take(MIXED_LAUNCHES + number))
            for number in self._plan.connections
        }
        _tell(MIXED, samples)
        return Measured(MIXED, samples)

    def _take(self, number: int) -> list[int]:
        """So many data collections that nobody launches on but who takes them."""
        taken = list(islice(self._fresh, number))
        if len(taken) < number:
            raise RuntimeError("there are no data collections left to launch on: Plan.fresh is too small")
        return taken

    def _limited(self, measured: Measured, limits: Limits, steps: Sequence[Step]) -> Measured:
        """With what the same SQL takes without HTTP."""
        if not steps or not measured.samples:
            return measured
        seconds = self._plan.seconds
        return replace(
            measured,
            sql=limits.at_once(steps, seconds, AT_ONCE),
            sql_alone=limits.alone(steps, BARE_SECONDS),
        )

    def _framed(self, found: Sequence[Measured]) -> list[Measured]:
        """With what FastAPI and nginx take to send the same answers."""
        by_name = {one.name: one for one in operations(self._loaded)}
        asked = {number: by_name[one.name] for number, one in enumerate(found) if one.samples and one.name in by_name}
        self._start()
        for number, operation in asked.items():
            asks = self._conditional(operation) if operation.conditional else operation.asks
            self._frame.give(number, self._service.get(asks[0].path, asks[0].headers))
        self._service.stop()
        self._frame.start("/", {})
        out = []
        for number, measured in enumerate(found):
            if number in asked:
                sample = self._compare(self._frame.port, f"/{number}")
                measured = replace(measured, frame=sample)
            out.append(measured)
        self._frame.stop()
        return [self._sent(one, by_name.get(one.name)) for one in out]

    def _sent(self, measured: Measured, operation: Operation | None) -> Measured:
        """With nginx sending the same file, if it is one."""
        if operation is None or operation.file is None:
            return measured
        file = Path(operation.file)
        self._nginx.configure(
            http="sendfile on; tcp_nopush on; keepalive_requests 1000000;",
            server=f"access_log off; location / {{ root {file.parent}; }}",
        )
        self._nginx.start()
        try:
            return replace(measured, nginx=self._compare(self._nginx.port, f"/{file.name}"))
        finally:
            self._nginx.stop()

    def _compare(self, port: int, path: str) -> Sample:
        return wrk.measure(self._folder, port, [Ask(path)], connections=AT_ONCE, seconds=self._plan.seconds)

    def _bare(self, limits: Limits, launch: Transaction, samples: dict[str, Sample]) -> Launches:
        """With what the transaction of a launch takes."""
        plan = self._plan
        alone = limits.launches(launch, self._take(plan.launches), plan.seconds, 1)
        at_once = limits.launches(launch, self._take(plan.launches), plan.seconds, AT_ONCE)
        self._forget()
        return Launches(bare_alone=alone, bare_at_once=at_once, **samples)

    def _forget(self) -> None:
        """Messages of launches that were none must not be sent."""
        environment = self._loaded.environment
        execute(
            environment,
            f"UPDATE `{environment.schema}`.outbox SET open = NULL, cancelled_at = UTC_TIMESTAMP(6) WHERE open = 1",
        )


def _tell(name: str, samples: Mapping[int, Sample]) -> None:
    told = ", ".join(
        f"{number}: {sample.rate:,.0f}/s p50 {sample.p50:.1f} p99 {sample.p99:.1f} ms"
        + (f" {sample.errors} errors" if sample.errors else "")
        for number, sample in samples.items()
    )
    say(f"{name}: {told}")


def _header(got: Got, name: str) -> str | None:
    return next((value for key, value in got.headers.items() if key.lower() == name), None)
