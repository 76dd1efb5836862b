# modules/crashstats
