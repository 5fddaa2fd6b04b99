// SwiftPM wants one source file in a C target; the header is the target.
