"""Runs as figures, tables and one page. Its face is `study.study_of` and `write.write_report`."""
