"""What an application is told about the user: headers and the signed assertion."""
