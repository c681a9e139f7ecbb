"""The world that the engine acts in when it is simulated: order book, driver, price paths,
accounts, crashes.
"""
