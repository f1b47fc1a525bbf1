"""Many runs: which there are to be, where they are played, what became of them; by command lines and run folders."""
