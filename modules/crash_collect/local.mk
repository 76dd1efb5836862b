# modules/crash_collect
