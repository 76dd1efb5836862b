-- Raw files: what programs and debug files are, and the symbols that are made from them here.

ALTER TABLE symbol_file ADD COLUMN IF NOT EXISTS origin text NOT NULL DEFAULT 'upload';
ALTER TABLE symbol_file ADD CONSTRAINT symbol_file_origin
  CHECK (origin IN ('upload', 'dump-syms', 'import', 'upstream'));
ALTER TABLE symbol_file ADD COLUMN made_from text;  -- of dump-syms: digests of its sources
CREATE INDEX symbol_file_build ON symbol_file (lower(build_id)) WHERE build_id <> '';

-- Stored files that a worker shall look at; states as those of crash_job, 2 is "given up".
CREATE TABLE symbol_job (
  id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  file_id     bigint NOT NULL REFERENCES symbol_file ON DELETE CASCADE,
  state       smallint NOT NULL DEFAULT 0 CHECK (state IN (0, 1, 2)),
  fence       int NOT NULL DEFAULT 0,
  attempts    int NOT NULL DEFAULT 0,
  run_after   timestamptz NOT NULL DEFAULT now(),
  lease_until timestamptz,
  worker      text,
  last_error  text,
  created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX symbol_job_ready ON symbol_job (run_after, id) WHERE state = 0;
CREATE INDEX symbol_job_leased ON symbol_job (lease_until) WHERE state = 1;
CREATE INDEX symbol_job_file ON symbol_job (file_id);

-- A program for Linux has any name, so the leaf does not tell: "other" is looked at as well.
CREATE FUNCTION symbol_file_queue() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO symbol_job (file_id) VALUES (NEW.id);
  PERFORM pg_notify('crash_job', 'symbols');
  RETURN NULL;
END $$;
CREATE TRIGGER symbol_file_queue AFTER INSERT ON symbol_file
  FOR EACH ROW WHEN (NEW.kind IN ('elf', 'elf_debug', 'other') AND NEW.origin IN ('upload', 'import'))
  EXECUTE FUNCTION symbol_file_queue();
