-- What pages say of products (docs/crashstats.md), and the files that name their current versions.

ALTER TABLE product
  ADD COLUMN description        text NOT NULL DEFAULT '',
  ADD COLUMN home_page_sort     int NOT NULL DEFAULT 1000,   -- lowest first, then by name
  ADD COLUMN featured_versions  text[] NOT NULL DEFAULT '{auto}',
  ADD COLUMN version_json_urls  jsonb NOT NULL DEFAULT '{}', -- {KEY: URL}
  ADD COLUMN in_buildhub        bool NOT NULL DEFAULT false,
  ADD COLUMN bug_links          jsonb NOT NULL DEFAULT '[]', -- [[text, template]]
  ADD COLUMN product_home_links jsonb NOT NULL DEFAULT '[]'; -- [[text, URL]]

CREATE TABLE version_file (
  url      text COLLATE "C" PRIMARY KEY,
  fetched  timestamptz NOT NULL,
  doc      jsonb NOT NULL                        -- {} if it could not be had
);
