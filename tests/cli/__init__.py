"""The command line, tested as the program that it is: in processes of its own, on real stores."""
