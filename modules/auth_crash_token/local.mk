# modules/auth_crash_token
