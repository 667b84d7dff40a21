"""One cell as a folder that shows its outcome without the lab, with everything taken away that it does not need."""
