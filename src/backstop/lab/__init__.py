"""Science on the same engine: replays of recorded and composed crashes."""
