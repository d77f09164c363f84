"""Public measurements as samples and profile rows; each module names its source."""
