"""Parts that runners, controllers and learners share: batches, buffers, schedules, selectors and returns."""
