"""The commands of the cluster's things, each declared once, for `declarations`: a module for each noun."""
