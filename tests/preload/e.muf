timeout: failed to run command ‘./conform’: No such file or directory
