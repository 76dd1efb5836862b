# conf, templates, htdocs: installed as they are
install-data-local:
	$(MKDIR_P) "$(DESTDIR)$(pkgdatadir)"
	cd "$(srcdir)" && for d in templates htdocs; do \
	  rm -rf "$(DESTDIR)$(pkgdatadir)/$$d"; cp -R $$d "$(DESTDIR)$(pkgdatadir)/$$d"; done
	cd "$(srcdir)/conf" && for d in *; do \
	  rm -rf "$(DESTDIR)$(pkgdatadir)/$$d"; cp -R $$d "$(DESTDIR)$(pkgdatadir)/$$d"; done
	rm -f "$(DESTDIR)$(pkgdatadir)/local.mk"
uninstall-local:
	rm -rf "$(DESTDIR)$(pkgdatadir)"
