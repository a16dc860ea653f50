"""The processes that train trials: their part of the machine, their messages, their end."""
