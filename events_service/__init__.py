"""The core: all but the queue's actors and the scheduler. It never imports dramatiq or apscheduler."""
