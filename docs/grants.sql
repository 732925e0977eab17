-- The rights that synchweb-em needs on MariaDB, and no more. Run as an administrator, with these names filled in:
--
--   ISPYB=ispyb SCHEMA='synchweb\_em' CLIENTS=% SERVICE_USER=synchweb_em SERVICE_PASSWORD=... \
--   MIGRATE_USER=synchweb_em_migrate MIGRATE_PASSWORD=... envsubst < docs/grants.sql | mariadb
--
-- ISPYB is the database of EM_DATABASE__URL. SCHEMA is EM_DATABASE__SCHEMA with a backslash before each underscore,
-- which in a grant on a whole schema stands for any character. CLIENTS are the hosts that may connect.

-- The service: `serve`, `relay` and `doctor`.

CREATE USER IF NOT EXISTS '${SERVICE_USER}'@'${CLIENTS}' IDENTIFIED BY '${SERVICE_PASSWORD}';

-- ISPyB's tables that are read.
GRANT SELECT ON `${ISPYB}`.`BLSession` TO '${SERVICE_USER}'@'${CLIENTS}';
GRANT SELECT ON `${ISPYB}`.`Proposal` TO '${SERVICE_USER}'@'${CLIENTS}';
GRANT SELECT ON `${ISPYB}`.`Person` TO '${SERVICE_USER}'@'${CLIENTS}';
GRANT SELECT ON `${ISPYB}`.`Session_has_Person` TO '${SERVICE_USER}'@'${CLIENTS}';
GRANT SELECT ON `${ISPYB}`.`Permission` TO '${SERVICE_USER}'@'${CLIENTS}';
GRANT SELECT ON `${ISPYB}`.`UserGroup_has_Permission` TO '${SERVICE_USER}'@'${CLIENTS}';
GRANT SELECT ON `${ISPYB}`.`UserGroup_has_Person` TO '${SERVICE_USER}'@'${CLIENTS}';
GRANT SELECT ON `${ISPYB}`.`SW_onceToken` TO '${SERVICE_USER}'@'${CLIENTS}';
GRANT SELECT ON `${ISPYB}`.`Movie` TO '${SERVICE_USER}'@'${CLIENTS}';
GRANT SELECT ON `${ISPYB}`.`MotionCorrection` TO '${SERVICE_USER}'@'${CLIENTS}';
GRANT SELECT ON `${ISPYB}`.`CTF` TO '${SERVICE_USER}'@'${CLIENTS}';
GRANT SELECT ON `${ISPYB}`.`ParticlePicker` TO '${SERVICE_USER}'@'${CLIENTS}';
GRANT SELECT ON `${ISPYB}`.`ParticleClassificationGroup` TO '${SERVICE_USER}'@'${CLIENTS}';
GRANT SELECT ON `${ISPYB}`.`ParticleClassification` TO '${SERVICE_USER}'@'${CLIENTS}';
GRANT SELECT ON `${ISPYB}`.`ParticleClassification_has_CryoemInitialModel` TO '${SERVICE_USER}'@'${CLIENTS}';
GRANT SELECT ON `${ISPYB}`.`CryoemInitialModel` TO '${SERVICE_USER}'@'${CLIENTS}';
GRANT SELECT ON `${ISPYB}`.`AutoProcProgramAttachment` TO '${SERVICE_USER}'@'${CLIENTS}';
GRANT SELECT ON `${ISPYB}`.`DataCollectionFileAttachment` TO '${SERVICE_USER}'@'${CLIENTS}';
GRANT SELECT ON `${ISPYB}`.`DataCollectionComment` TO '${SERVICE_USER}'@'${CLIENTS}';

-- The per-frame drift, on servers that still have this table (ISPyB dropped it in October 2023):
-- GRANT SELECT ON `${ISPYB}`.`MotionCorrectionDrift` TO '${SERVICE_USER}'@'${CLIENTS}';

-- One-time tokens are used up; a data collection's comments can be edited. Nothing else of ISPyB is changed or deleted.
GRANT DELETE ON `${ISPYB}`.`SW_onceToken` TO '${SERVICE_USER}'@'${CLIENTS}';
GRANT UPDATE (comments) ON `${ISPYB}`.`DataCollection` TO '${SERVICE_USER}'@'${CLIENTS}';

-- ISPyB's tables that rows are added to.
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
