"""Side-by-side measurements, each a script with its command and a result table beside it; see README.md."""
