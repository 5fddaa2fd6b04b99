import Hummingbird
import AsyncHTTPClient
import Yams
import ArgumentParser
print("x")
