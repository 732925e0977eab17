"""What a facility's ISPyB holds, as INSERT … SELECT from MariaDB's sequences. See ``facility``."""

from __future__ import annotations

from collections.abc import Iterator

from tests.support import facility_results
from tests.support.facility_sizes import LISTED_JOBS, VISIT_COLLECTIONS, Rows, Sizes, count, one_of

PARAMETERS = {
    "import_images": "{dls}/m12/raw/GridSquare_*/Data/*.tiff",
    "acquisition_software": "EPU",
    "voltage": "300",
    "Cs": "2.7",
    "angpix": "0.885",
    "motioncor_doseperframe": "1.277",
    "motioncor_binning": "1",
    "motioncor_gainreference": "{dls}/m12/processing/gain.mrc",
    "stop_after_ctf_estimation": "false",
    "do_class2d": "true",
    "do_class3d": "true",
    "mask_diameter": "198",
}


def of_ispyb(sizes: Sizes, dls: str) -> Iterator[Rows]:
    """Everything for ISPyB's tables."""
    yield from _people(sizes)
    yield from _visits(sizes)
    yield from _collections(sizes, dls)
    yield from _jobs(sizes)
    yield from _parameters(sizes, dls)
    yield from _programs(sizes)
    yield from facility_results.rows(sizes, f"{dls}/m12/processed/relion")


def of_ours(sizes: Sizes, dls: str) -> Iterator[Rows]:
    """What our own tables keep of launches long past, and of the jobs of the visit that tests ask about."""
    # Where there are more launches than jobs: jobs that were deleted since.
    job = f"IF(2 * n < {sizes.other_jobs}, 2 * n - 1, {10 * sizes.jobs} + n)"
    collection = f"1 + MOD(n - 1, {sizes.other_collections})"
    past = "'2024-01-01' + INTERVAL n MINUTE"
    guid = "CONCAT('00000000-0000-4000-8000-', LPAD({}, 12, '0'))"
    launch: dict[str, object] = {
        "results_directory": f"CONCAT('{dls}/m12/processed/raw/GridSquare_1/', n)",
        "launched_by": "'user1'",
        "launched_at": past,
        "face": "'native'",
    }
    ids = {"job_id": job, "dcid": collection, "guid": guid.format("n")}
    yield Rows("launch", count(sizes.launches), ids | launch)
    own_ids = {
        "job_id": f"{sizes.other_jobs} + n",
        "dcid": f"IF(n <= {LISTED_JOBS}, {sizes.data_collections - 1}, {sizes.other_collections} + n - {LISTED_JOBS})",
        "guid": guid.format(f"{sizes.launches} + n"),
    }
    yield Rows("launch", count(LISTED_JOBS + VISIT_COLLECTIONS), own_ids | launch)
    yield Rows(
        "outbox",
        count(sizes.launches),
        {
            "id": "n",
            "order_key": collection,
            "job_id": job,
            "kind": "'start'",
            "body": """CONCAT('{"parameters": {"ispyb_process": ', n, '}}')""",
            "login": "'user1'",
            "message_id": guid.format("n"),
            "queued_at": past,
            "due_at": past,
            "attempts": 1,
            "attempted_at": past,
            "sent_at": past,
        },
    )
    stop: dict[str, object] = {"asked_by": "'user1'", "asked_at": past}
    every_tenth = f"{count(sizes.launches)} WHERE MOD(n, 10) = 1"
    yield Rows("stop_request", every_tenth, {"job_id": job, "dcid": collection} | stop)
    stopped = {"job_id": sizes.listed_jobs[1], "dcid": sizes.data_collections - 1, "replaced_by": sizes.listed_jobs[2]}
    yield Rows("stop_request", count(1), stopped | stop)
    slots = min(sizes.launches, sizes.other_collections)
    yield Rows("slot", count(slots), {"kind": "'dc'", "id": "n", "version": 1})
    yield Rows(
        "idempotency",
        count(sizes.launches // 10),
        {
            "login": "'user1'",
            "route": "CONCAT('launch/', n)",
            "key": guid.format("n"),
            "body_hash": "SHA2(n, 256)",
            "answer": "'{}'",
            # They are kept for a day and deleted once an hour.
            "created_at": "UTC_TIMESTAMP(6) - INTERVAL MOD(n, 25) HOUR",
        },
    )


def _people(sizes: Sizes) -> Iterator[Rows]:
    yield Rows(
        "Person",
        count(sizes.persons),
        {
            "personId": "n",
            "givenName": "CONCAT('Given', n)",
            "familyName": "CONCAT('Family', n)",
            "login": "CONCAT('user', n)",
            "emailAddress": "CONCAT('user', n, '@example.org')",
        },
    )
    permission = "IF(n = 3, 'em_admin', CONCAT('permission', n))"
    yield Rows("Permission", count(12), {"permissionId": "n", "type": permission})
    yield Rows("UserGroup", count(12), {"userGroupId": "n", "name": "CONCAT('group', n)"})
    yield Rows("UserGroup_has_Permission", count(12), {"userGroupId": "n", "permissionId": "n"})
    # The first thirty are the microscopes' staff; they and others are in more groups.
    yield Rows("UserGroup_has_Person", count(30), {"userGroupId": 3, "personId": "n"})
    yield Rows("UserGroup_has_Person", count(200), {"userGroupId": "4 + MOD(n, 9)", "personId": "n"})
    yield Rows(
        "SW_onceToken",
        count(20_000),
        {
            "recordTimeStamp": "'2026-01-01' + INTERVAL n MINUTE",
            "token": "SHA2(n, 512)",
            "personId": f"1 + MOD(n, {sizes.persons})",
            "proposalId": f"1 + MOD(n, {sizes.proposals})",
            "validity": "CONCAT('/download/id/', n)",
        },
    )


def _visits(sizes: Sizes) -> Iterator[Rows]:
    codes = one_of("n", "cm", "mx", "bi", "nt", "in", "mx", "lb", "nr")
    yield Rows(
        "Proposal",
        count(sizes.proposals),
        {
            "proposalId": "n",
            "personId": f"1 + MOD(n * 7, {sizes.persons})",
            "title": "CONCAT('Proposal ', n)",
            "proposalCode": f"IF(n = {sizes.proposals}, 'cm', {codes})",
            "proposalNumber": "20000 + n",
            "bltimeStamp": "'2015-01-01' + INTERVAL n MINUTE",
        },
    )
    asked = f"n = {sizes.visits}"
    begun = f"'2015-01-01 09:00:00' + INTERVAL n * 4000 DIV {sizes.visits} DAY"
    beamline = "CONCAT(IF(MOD(n DIV 4, 5) < 2, 'm', 'i'), LPAD(1 + MOD(n, 14), 2, '0'))"
    yield Rows(
        "BLSession",
        count(sizes.visits),
        {
            "sessionId": "n",
            "proposalId": "1 + (n - 1) DIV 4",
            "visit_number": "1 + MOD(n - 1, 4)",
            "beamLineName": f"IF({asked}, 'm12', {beamline})",
            "startDate": f"IF({asked}, '2026-01-05 09:00:00', {begun})",
            "endDate": f"IF({asked}, '2099-12-31 09:00:00', {begun} + INTERVAL 3 DAY)",
            "bltimeStamp": begun,
            "lastUpdate": begun,
            "scheduled": 1,
            "archived": 0,
        },
    )
    role = one_of("k", "Co-Investigator", "Local Contact", "Principal Investigator", "Team Member")
    yield Rows(
        "Session_has_Person",
        f"{count(sizes.visits)} JOIN {count(5, 'k')}",
        {"sessionId": "n", "personId": sizes.persons_of("n"), "role": role, "remote": 0},
    )
    # The last person is the member.
    member = {"sessionId": f"{sizes.visits} - 4 * (n - 1)", "personId": sizes.persons, "role": "'Team Member'"}
    yield Rows("Session_has_Person", count(4), member | {"remote": 0})


def _collections(sizes: Sizes, dls: str) -> Iterator[Rows]:
    others = sizes.other_collections
    visit = f"IF(n > {others}, {sizes.visits}, 1 + (n - 1) * {sizes.visits - 1} DIV {others})"
    source = f"{count(sizes.data_collections)} JOIN BLSession AS s ON s.sessionId = {visit}"
    yield Rows(
        "DataCollectionGroup",
        source,
        {
            "dataCollectionGroupId": "n",
            "sessionId": "s.sessionId",
            "experimentType": "IF(s.beamLineName LIKE 'm%', 'EM', 'SAD')",
            "comments": "CONCAT('Group ', n)",
            "startTime": "s.startDate + INTERVAL MOD(n, 60) HOUR",
        },
    )
    number = f"IF(n > {others}, n - {others}, 1 + MOD(n, 25))"
    em = "s.beamLineName LIKE 'm%'"
    directory = (
        f"CONCAT('{dls}/', s.beamLineName, '/data/', YEAR(s.startDate), '/', p.proposalCode, p.proposalNumber, '-', "
        f"s.visit_number, IF({em}, '/raw_', '/xtal'), {number}, '/')"
    )
    yield Rows(
        "DataCollection",
        f"{source} JOIN Proposal AS p ON p.proposalId = s.proposalId",
        {
            "dataCollectionId": "n",
            "dataCollectionGroupId": "n",
            "SESSIONID": "s.sessionId",
            "imageDirectory": directory,
            "fileTemplate": f"IF({em}, 'GridSquare_*/Data/*.tiff', CONCAT('xtal', {number}, '_1_####.cbf'))",
            "imagePrefix": f"IF({em}, 'GridSquare', CONCAT('xtal', {number}))",
            "imageSuffix": f"IF({em}, 'tiff', 'cbf')",
            "dataCollectionNumber": f"IF({em}, 1, 1 + MOD(n, 5))",
            "startTime": "s.startDate + INTERVAL MOD(n, 60) HOUR",
            "endTime": "s.startDate + INTERVAL 1 + MOD(n, 60) HOUR",
            "runStatus": "'DataCollection Successful'",
            "comments": "IF(MOD(n, 3) = 0, CONCAT('Comment on ', n), NULL)",
            "numberOfImages": 3600,
            "voltage": 300,
            "magnification": 130000,
            "pixelSizeOnImage": 0.885,
            "wavelength": 0.01968,
        },
    )
    file = {"fileFullPath": f"CONCAT('{dls}/attachment_', n, '.xml')", "fileType": "'log'"}
    yield Rows(
        "DataCollectionFileAttachment", count(sizes.data_collections // 4), {"dataCollectionId": "4 * n", **file}
    )
    yield Rows(
        "DataCollectionComment",
        count(sizes.data_collections // 20),
        {
            "dataCollectionId": "20 * n",
            "personId": f"1 + MOD(n, {sizes.persons})",
            "comments": "CONCAT('Comment ', n)",
            "createTime": "'2020-01-01' + INTERVAL n MINUTE",
        },
    )


_RECORDED = "'2016-01-01' + INTERVAL n * 2 MINUTE"


def _jobs(sizes: Sizes) -> Iterator[Rows]:
    """Two for each data collection, two of five of them RELION's."""
    recipes = ("relion", "relion", "em-spa-preprocess", "autoprocessing-fast-dp", "autoprocessing-xia2-dials")
    yield Rows(
        "ProcessingJob",
        count(sizes.other_jobs),
        {
            "processingJobId": "n",
            "dataCollectionId": f"1 + MOD((n - 1) DIV 2, {sizes.other_collections})",
            "displayName": "IF(MOD(n, 5) < 2, 'RELION', 'Other')",
            "recipe": one_of("n", *recipes),
            "automatic": "IF(MOD(n, 5) < 2, 0, 1)",
            "recordTimestamp": _RECORDED,
        },
    )
    listed = f"n <= {LISTED_JOBS}"
    own = f"{sizes.other_collections} + n - {LISTED_JOBS}"
    yield Rows(
        "ProcessingJob",
        count(LISTED_JOBS + VISIT_COLLECTIONS),
        {
            "processingJobId": f"{sizes.other_jobs} + n",
            "dataCollectionId": f"IF({listed}, {sizes.data_collections - 1}, {own})",
            "displayName": "'RELION'",
            "recipe": "'relion'",
            "automatic": 0,
            "comments": "'Submitted via SynchWeb'",
            "recordTimestamp": "'2026-01-10' + INTERVAL n MINUTE",
        },
    )


def _parameters(sizes: Sizes, dls: str) -> Iterator[Rows]:
    """Of every twentieth job, and of all of the visit that tests ask about."""
    keys = ", ".join(f"'{key}'" for key in PARAMETERS)
    values = ", ".join(f"'{value.format(dls=dls)}'" for value in PARAMETERS.values())
    parameter = {"parameterKey": f"ELT(k, {keys})", "parameterValue": f"ELT(k, {values})"}
    each = f"JOIN {count(len(PARAMETERS), 'k')}"
    jobs = {"20 * n": sizes.other_jobs // 20, f"{sizes.other_jobs} + n": sizes.jobs - sizes.other_jobs}
    for job, number in jobs.items():
        yield Rows("ProcessingJobParameter", f"{count(number)} {each}", {"processingJobId": job, **parameter})


def _programs(sizes: Sizes) -> Iterator[Rows]:
    """Nine of ten jobs have a program, which has the number of its job; one of ten has another below it."""
    times = {
        "processingStartTime": f"{_RECORDED} + INTERVAL 5 MINUTE",
        "processingEndTime": f"{_RECORDED} + INTERVAL 2 HOUR",
        "recordTimeStamp": f"{_RECORDED} + INTERVAL 4 MINUTE",
        "processingMessage": "'processing finished'",
    }
    yield Rows(
        "AutoProcProgram",
        f"{count(sizes.other_jobs)} WHERE MOD(n, 10) <> 0",
        {
            "autoProcProgramId": "n",
            "processingJobId": "n",
            "processingPrograms": "IF(MOD(n, 5) < 2, 'relion', 'other')",
            "processingCommandLine": "'zocalo.wrap'",
            "processingStatus": "IF(MOD(n, 4) = 0, 0, 1)",
            **times,
        },
    )
    # Of the listed jobs three have none, three run, three have failed. Every second of the visit's other jobs runs.
    listed, fate = f"n <= {LISTED_JOBS}", "MOD(n, 5)"
    outcome = f"IF({listed}, ELT(1 + {fate}, 1, 1, 0, NULL), IF(MOD(n - {LISTED_JOBS}, 2) = 0, NULL, 1))"
    yield Rows(
        "AutoProcProgram",
        f"{count(LISTED_JOBS + VISIT_COLLECTIONS)} WHERE NOT ({listed} AND {fate} = 4)",
        {
            "autoProcProgramId": f"{sizes.other_jobs} + n",
            "processingJobId": f"{sizes.other_jobs} + n",
            "processingPrograms": "'relion'",
            "processingCommandLine": "'zocalo.wrap'",
            "processingStatus": outcome,
            "processingMessage": f"IF({outcome} IS NULL, 'Starting processing', 'processing finished')",
            "processingStartTime": "'2026-01-10 00:20:00'",
            "processingEndTime": f"IF({outcome} IS NULL, NULL, '2026-01-10 04:00:00')",
            "recordTimeStamp": "'2026-01-10 00:19:00'",
        },
    )
    below = {"processingJobId": "n", "parentAutoProcProgramId": "n", "processingPrograms": "'cryolo'"}
    yield Rows(
        "AutoProcProgram",
        f"{count(sizes.other_jobs)} WHERE MOD(n, 10) = 1",
        {"autoProcProgramId": f"{sizes.jobs} + 1 + n DIV 10", "processingStatus": 1, **below, **times},
    )
