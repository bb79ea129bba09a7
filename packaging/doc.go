// Package packaging holds the tests of what surrounds the program: the make
// targets, scripts, service unit, container image, compose file and
// documents. It has no code of its own.
package packaging
