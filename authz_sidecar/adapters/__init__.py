"""One module per proxy: pure translations between its dialect and ours."""
