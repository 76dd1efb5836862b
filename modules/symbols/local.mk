# modules/symbols
