-- Written from what ISPyB's own procedure of this name was seen to do: registering sets no times; the first message
-- sets start and end, later ones move the end; an outcome is final; a message of more than 80 characters is refused.
CREATE PROCEDURE upsert_processing_program_v2(
  INOUT p_id INT UNSIGNED,
  IN p_command VARCHAR(255),
  IN p_programs VARCHAR(255),
  IN p_status INT,
  IN p_message VARCHAR(80),
  IN p_start DATETIME,
  IN p_update DATETIME,
  IN p_environment VARCHAR(255),
  IN p_job_id INT UNSIGNED,
  IN p_pipeline_id INT UNSIGNED,
  IN p_recorded DATETIME
)
MODIFIES SQL DATA
BEGIN
  IF p_id IS NULL THEN
    INSERT INTO AutoProcProgram (
      processingJobId, processingPrograms, processingCommandLine, processingEnvironment,
      processingStatus, processingMessage, processingStartTime, processingEndTime, recordTimeStamp
    ) VALUES (
      p_job_id, p_programs, p_command, p_environment,
      p_status, p_message, p_start, p_update, IFNULL(p_recorded, NOW())
    );
    SET p_id = LAST_INSERT_ID();
  ELSE
    UPDATE AutoProcProgram
    SET
      processingMessage = IFNULL(p_message, processingMessage),
      processingStartTime = COALESCE(processingStartTime, p_start, NOW()),
      processingEndTime = IFNULL(p_update, NOW()),
      processingStatus = p_status
    WHERE autoProcProgramId = p_id AND processingStatus IS NULL;
  END IF;
END
