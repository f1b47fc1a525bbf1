"""StarCraft II itself, through the packages smac and smacv2, which are imported in worker processes alone."""
