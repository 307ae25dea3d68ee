print("dep2p: under construction")
