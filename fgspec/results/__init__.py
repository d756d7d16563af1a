"""The results of runs, by arm: tables, differences, statistics and figures."""
