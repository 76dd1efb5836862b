# modules/symbolicate
