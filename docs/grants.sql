-- The rights that synchweb-em needs on MariaDB, and no more. Run as an administrator, with these names filled in:
--
--   ISPYB=ispyb SCHEMA='synchweb\_em' CLIENTS=% SERVICE_USER=synchweb_em SERVICE_PASSWORD=... \
--   MIGRATE_USER=synchweb_em_migrate MIGRATE_PASSWORD=... envsubst < docs/grants.sql | mariadb
--
-- ISPYB is the database of EM_DATABASE__URL. SCHEMA is EM_DATABASE__SCHEMA with a backslash before each underscore,
-- which in a grant on a whole schema stands for any character. CLIENTS are the hosts that may connect.

-- The service: `serve`, `relay` and `doctor`.

CREATE USER IF NOT EXISTS '${SERVICE_USER}'@'${CLIENTS}' IDENTIFIED BY '${SERVICE_PASSWORD}';

-- ISPyB's tables that are only read.
GRANT SELECT ON `${ISPYB}`.`BLSession` TO '${SERVICE_USER}'@'${CLIENTS}';
GRANT SELECT ON `${ISPYB}`.`Proposal` TO '${SERVICE_USER}'@'${CLIENTS}';
GRANT SELECT ON `${ISPYB}`.`Person` TO '${SERVICE_USER}'@'${CLIENTS}';
GRANT SELECT ON `${ISPYB}`.`Session_has_Person` TO '${SERVICE_USER}'@'${CLIENTS}';
GRANT SELECT ON `${ISPYB}`.`Movie` TO '${SERVICE_USER}'@'${CLIENTS}';
GRANT SELECT ON `${ISPYB}`.`MotionCorrection` TO '${SERVICE_USER}'@'${CLIENTS}';

-- ISPyB's tables that rows are added to. None is ever changed or deleted.
GRANT SELECT, INSERT ON `${ISPYB}`.`DataCollectionGroup` TO '${SERVICE_USER}'@'${CLIENTS}';
GRANT SELECT, INSERT ON `${ISPYB}`.`DataCollection` TO '${SERVICE_USER}'@'${CLIENTS}';
GRANT SELECT, INSERT ON `${ISPYB}`.`ProcessingJob` TO '${SERVICE_USER}'@'${CLIENTS}';
GRANT SELECT, INSERT ON `${ISPYB}`.`ProcessingJobParameter` TO '${SERVICE_USER}'@'${CLIENTS}';
GRANT SELECT, INSERT ON `${ISPYB}`.`AutoProcProgram` TO '${SERVICE_USER}'@'${CLIENTS}';

-- Our own tables.
GRANT SELECT, INSERT, UPDATE, DELETE ON `${SCHEMA}`.* TO '${SERVICE_USER}'@'${CLIENTS}';

-- `synchweb-em migrate`, which creates that schema and its tables and touches nothing of ISPyB. This user may not
-- open ISPyB's database, so its EM_DATABASE__URL names none: mysql+pymysql://synchweb_em_migrate:...@host:3306/

CREATE USER IF NOT EXISTS '${MIGRATE_USER}'@'${CLIENTS}' IDENTIFIED BY '${MIGRATE_PASSWORD}';

GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX, DROP ON `${SCHEMA}`.* TO '${MIGRATE_USER}'@'${CLIENTS}';
