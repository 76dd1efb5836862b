-- When the newest lease of a job was granted; of interest while it is leased.
ALTER TABLE crash_job ADD COLUMN leased_at timestamptz;
