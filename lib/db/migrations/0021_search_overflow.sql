-- Search: which fields have values that the dictionary refused, by week, so that a search looks at
-- column `overflow` only where there is something in it (docs/search.md, "Overflow").

CREATE TABLE search_overflow (
  week   date NOT NULL,                         -- Monday
  field  smallint NOT NULL,                     -- number in lib/search/fields.def
  PRIMARY KEY (week, field)
);
CREATE INDEX crash_over ON crash (date) WHERE overflow IS NOT NULL;
INSERT INTO search_overflow
  SELECT DISTINCT date_trunc('week', date AT TIME ZONE 'UTC')::date, f
  FROM crash, generate_series(1, 156) f WHERE overflow IS NOT NULL;
