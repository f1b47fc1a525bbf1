"""The battle as compiled kernels: arrays in, arrays out. It knows no map files, no env and no replays."""
