"""Replays what was recorded from ``EM.php`` against the service, and says what is not as it was.

``recorded/cases`` holds one request each with its answer, the rows that it wrote and the message that it sent;
``recorded/rows.json`` and ``files.json`` are what they all start from. ``{dls}`` stands for the visits' folder.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy as sa

RECORDED = Path(__file__).parent / "recorded"
JWT_KEY = "bGFiLWp3dC1rZXktZm9yLWdvbGRlbi1yZWNvcmRpbmdzLTAxMjM0NTY3ODlhYmNkZWY="  # used as it stands, not decoded
TEXT, ANY = "<text>", "<any>"  # any words of our own, any value
WRITTEN = {
    # table: primary key
    "ProcessingJob": "processingJobId",
    "ProcessingJobParameter": "processingJobParameterId",
    "DataCollection": "dataCollectionId",
    "DataCollectionGroup": "dataCollectionGroupId",
    "SW_onceToken": "onceTokenId",
}
# ISPyB dropped it in October 2023; older servers still have it.
DRIFT = """CREATE TABLE IF NOT EXISTS MotionCorrectionDrift (
    motionCorrectionDriftId int unsigned AUTO_INCREMENT PRIMARY KEY, motionCorrectionId int unsigned,
    frameNumber smallint unsigned, deltaX float, deltaY float, KEY (motionCorrectionId))"""

Case = dict[str, Any]


def read_cases() -> dict[str, Case]:
    """Every recorded case by its name."""
    return {path.stem: json.loads(path.read_text()) for path in sorted((RECORDED / "cases").glob("*.json"))}


def token(spec: str) -> str:
    """A SynchWeb token for LOGIN, or for LOGIN|VARIANT where it has something wrong with it."""
    login, _, variant = spec.partition("|")
    now = int(time.time())
    claims: dict[str, Any] = {"iat": now - 5, "jti": f"{login}{now}", "nbf": now - 5, "exp": now + 3600}
    claims |= {"iss": "http://localhost", "data": {"login": login}}
    variants: dict[str, dict[str, Any]] = {
        "expired": {"exp": now - 1},
        "nbf_future": {"nbf": now + 3600},
        "iat_future": {"iat": now + 3600},
        "nodata": {"data": None},
    }
    claims |= variants.get(variant, {})
    if variant == "noexp":
        claims = {"data": {"login": login}}
    key = "wrong" if variant == "wrongkey" else JWT_KEY
    return signed({"typ": "JWT", "alg": "HS256" if variant == "hs256" else "HS512"}, claims, key)


def signed(header: dict[str, Any], claims: dict[str, Any], key: str) -> str:
    """A token made by hand, so that it can be anything."""
    digest = {"HS256": hashlib.sha256, "HS512": hashlib.sha512}.get(str(header["alg"]))
    body = f"{_part(json.dumps(header).encode())}.{_part(json.dumps(claims).encode())}"
    signature = b"" if digest is None else hmac.new(key.encode(), body.encode(), digest).digest()
    return f"{body}.{_part(signature)}"


def _part(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


class Stage:
    """A database with the recorded rows, beside a folder with the recorded files."""

    def __init__(self, engine: sa.Engine, own_schema: str, dls: Path) -> None:
        self.engine = engine
        self.dls = str(dls)
        self._own_schema = own_schema
        self._rows: list[dict[str, Any]] = json.loads((RECORDED / "rows.json").read_text())
        for name, content in json.loads((RECORDED / "files.json").read_text()).items():
            path = dls / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(base64.b64decode(content))
        with engine.begin() as connection:
            connection.execute(sa.text("SET FOREIGN_KEY_CHECKS = 0"))
            connection.execute(sa.text(DRIFT))
            self._put(connection, self._rows, "REPLACE")

    def reset(self) -> None:
        """Every recorded row as it was."""
        with self.engine.begin() as connection:
            connection.execute(sa.text("SET FOREIGN_KEY_CHECKS = 0"))
            self._put(connection, self._rows, "REPLACE")

    @contextmanager
    def kept(self) -> Iterator[None]:
        """What is done meanwhile is put back."""
        with self.engine.begin() as connection:
            before = self._highest(connection)
        try:
            yield
        finally:
            self._restore(before)

    def counts(self) -> dict[str, Any]:
        """How many rows there are that requests write, and the comment that one of them changes."""
        with self.engine.begin() as connection:
            out: dict[str, Any] = {
                table: connection.execute(sa.text(f"SELECT COUNT(*) FROM {table}")).scalar_one() for table in WRITTEN
            }
            statement = sa.text("SELECT comments FROM DataCollection WHERE dataCollectionId = 9000001")
            return out | {"comments": connection.execute(statement).scalar_one()}

    def play(self, client: httpx.Client, case: Case) -> list[str]:
        """Send one case's request, compare, and put everything back as it was."""
        with self.engine.begin() as connection:
            before = self._highest(connection)
            self._put(connection, case.get("setup", []), "INSERT")
        try:
            response = self.send(client, case["request"])
            out = _answer_problems(case["expect"], response, self.dls)
            with self.engine.begin() as connection:
                after = self._highest(connection)
                if response.status_code >= 400 and {**after, "SW_onceToken": 0} != {**before, "SW_onceToken": 0}:
                    out.append(f"refused, yet wrote rows: {before} -> {after}")
                return out or self._row_problems(connection, case, before) + self._message_problems(connection, case)
        finally:
            self._restore(before)

    def send(self, client: httpx.Client, request: dict[str, Any]) -> httpx.Response:
        """The recorded request, with a token for its login."""
        headers = {}
        if request.get("login"):
            headers["Authorization"] = f"{request.get('scheme', 'Bearer')} {token(request['login'])}"
        if request.get("authorization"):
            headers["Authorization"] = request["authorization"]
        if request.get("contentType"):
            headers["Content-Type"] = request["contentType"]
        body = None if request["body"] is None else request["body"].replace("{dls}", self.dls).encode()
        url = request["path"] + (f"?{request['query']}" if request["query"] else "")
        return client.request(request["method"], url, headers=headers, content=body)

    def _put(self, connection: sa.Connection, tables: list[dict[str, Any]], verb: str) -> None:
        now = local_now(connection)
        marks = {"{dls}": self.dls, "{now-3600s}": str(now - timedelta(hours=1)), "{now}": str(now)}
        for table in tables:
            for row in table["rows"]:
                values = dict(row)
                for mark, text in marks.items():
                    values = {k: v.replace(mark, text) if isinstance(v, str) else v for k, v in values.items()}
                names = ", ".join(f"`{column}`" for column in values)
                given = ", ".join(f":{column}" for column in values)
                connection.execute(sa.text(f"{verb} INTO `{table['table']}` ({names}) VALUES ({given})"), values)

    @staticmethod
    def _highest(connection: sa.Connection) -> dict[str, int]:
        return {
            table: connection.execute(sa.text(f"SELECT COALESCE(MAX({key}), 0) FROM {table}")).scalar_one()
            for table, key in WRITTEN.items()
        }

    def _restore(self, before: dict[str, int]) -> None:
        with self.engine.begin() as connection:
            connection.execute(sa.text("SET FOREIGN_KEY_CHECKS = 0"))
            for table, key in WRITTEN.items():
                connection.execute(sa.text(f"DELETE FROM {table} WHERE {key} > :top"), {"top": before[table]})
            connection.execute(sa.text("DELETE FROM SW_onceToken"))
            for name in sa.inspect(connection).get_table_names(schema=self._own_schema):
                if name != "alembic_version":
                    connection.execute(sa.text(f"DELETE FROM `{self._own_schema}`.`{name}`"))
            self._put(connection, [table for table in self._rows if table["table"] == "DataCollection"], "REPLACE")

    def _row_problems(self, connection: sa.Connection, case: Case, before: dict[str, int]) -> list[str]:
        """Rows that ``EM.php`` wrote and the service did not. More columns are fine, more parameters are not."""
        out = []
        wanted_keys = set()
        for effect in case.get("rows", []):
            table = effect["table"]
            if effect.get("deleted"):
                if connection.execute(sa.text(f"SELECT COUNT(*) FROM {table}")).scalar_one():
                    out.append(f"{table}: the row is still there")
                continue
            where, top = f"{WRITTEN[table]} > :top", {"top": before[table]}
            if "update" in effect:
                ((key, value),) = effect["update"].items()
                where, top = f"{key} = :top", {"top": value}
            if table == "ProcessingJobParameter":
                wanted_keys.add(effect["values"]["parameterKey"])
            found = connection.execute(sa.text(f"SELECT * FROM {table} WHERE {where}"), top).mappings().all()
            if not any(_row_matches(dict(row), effect["values"], self.dls) for row in found):
                out.append(f"{table}: no row with {effect['values']} among {len(found)}")
        if wanted_keys:
            statement = "SELECT parameterKey FROM ProcessingJobParameter WHERE processingJobParameterId > :top"
            got = set(connection.execute(sa.text(statement), {"top": before["ProcessingJobParameter"]}).scalars())
            if extra := got - wanted_keys:
                out.append(f"also wrote the parameters {sorted(extra)}")
        return out

    def _message_problems(self, connection: sa.Connection, case: Case) -> list[str]:
        """What waits in the outbox is what ``EM.php`` sent, but for the guid that only ours have."""
        bodies = connection.execute(sa.text(f"SELECT body FROM `{self._own_schema}`.outbox ORDER BY id")).scalars()
        got = [json.loads(body) for body in bodies]
        for message in got:
            message["parameters"].pop("guid", None)
        if "message" not in case:
            # Where we may accept what was refused, or keep what was lost, there is a message that was not recorded.
            return [] if not got or case.get("differs") else [f"sent {got}"]
        return differences([case["message"]], got, self.dls, at="message")


def _answer_problems(expect: dict[str, Any], response: httpx.Response, dls: str) -> list[str]:
    content_type = response.headers.get("content-type", "").partition(";")[0]
    if response.status_code not in expect["status"]:
        return [f"status {response.status_code}, wants {expect['status']}: {response.text[:200]!r}"]
    if "placeholder" in expect:
        good = content_type == expect["placeholder"] and response.content.startswith(b"\x89PNG")
        return [] if good else [f"wants a placeholder, got {content_type}"]
    if "binary" in expect:
        binary = expect["binary"]
        out = []
        if hashlib.sha256(response.content).hexdigest() != binary["sha256"]:
            out.append(f"other bytes: {len(response.content)} instead of {binary['length']}")
        if binary.get("contentType", content_type).partition(";")[0] != content_type:
            out.append(f"content type {content_type}, wants {binary['contentType']}")
        return out
    if "json" not in expect or expect["json"] == ANY:
        return []
    want, got = expect["json"], response.json()
    if expect.get("unorderedTies"):
        want, got = _ties_sorted(want), _ties_sorted(got)
    return differences(want, got, dls, tuple(expect.get("ignore", ())))


def _ties_sorted(answer: Any) -> Any:
    """Rows that tie in the recorded order come in any order."""
    if isinstance(answer, dict) and isinstance(answer.get("classes"), list):
        return answer | {"classes": sorted(answer["classes"], key=lambda row: json.dumps(row, sort_keys=True))}
    return answer


def _number(value: Any) -> float | None:
    try:
        return float(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _close(want: float, got: float) -> bool:
    return abs(want - got) <= 2e-6 * max(abs(want), abs(got))  # PHP wrote floats with seven digits


def differences(want: Any, got: Any, dls: str, ignore: Sequence[str] = (), at: str = "") -> list[str]:
    """What differs in shape, type or value; ``<text>`` and ``<any>`` match."""
    if want == ANY or (want in ([], {}) and got in ([], {})):  # PHP has one empty array for both
        return []
    if want == TEXT:
        return [] if isinstance(got, str | list) and got else [f"{at}: wants some text, got {got!r}"]
    if isinstance(want, str):
        want = want.replace("{dls}", dls)
    if isinstance(want, dict) and isinstance(got, dict):
        out = [f"{at}.{key}: missing" for key in want if key not in got]
        out += [f"{at}.{key}: unexpected" for key in got if key not in want]
        for key in want:
            if key in got and key not in ignore:
                out += differences(want[key], got[key], dls, ignore, f"{at}.{key}")
        return out
    if isinstance(want, list) and isinstance(got, list):
        out = [f"{at}: {len(want)} items wanted, {len(got)} got"] if len(want) != len(got) else []
        for index, (one, other) in enumerate(zip(want, got, strict=False)):
            out += differences(one, other, dls, ignore, f"{at}[{index}]")
        return out
    if type(want) is type(got) is str and (a := _number(want)) is not None and (b := _number(got)) is not None:
        same = _close(a, b)
    elif isinstance(want, int | float) and isinstance(got, int | float) and bool not in (type(want), type(got)):
        same = _close(want, got)
    else:
        same = type(want) is type(got) and want == got
    return [] if same else [f"{at}: wants {want!r}, got {got!r}"]


def local_now(connection: sa.Connection) -> datetime:
    """The time on ISPyB's wall, which need not be this machine's."""
    moment = connection.execute(sa.text("SELECT NOW()")).scalar_one()
    assert isinstance(moment, datetime)
    return moment


BOOLEANS = {"true": "1", "false": "0"}  # EM.php stored JSON's as 1 and 0; RELION's wrapper reads both


def _row_matches(row: dict[str, Any], wanted: dict[str, Any], dls: str) -> bool:
    for column, want in wanted.items():
        got = row.get(column)
        if want == TEXT:
            if not got:
                return False
            continue
        one, other = (None if value is None else str(value).replace("{dls}", dls) for value in (want, got))
        if BOOLEANS.get(str(one), one) == BOOLEANS.get(str(other), other):
            continue
        a, b = _number(one), _number(other)
        if a is None or b is None or abs(a - b) > 1e-9:
            return False
    return True
