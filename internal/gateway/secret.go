package gateway

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"hash/crc32"
	"math/big"
	"strings"

	"scaler.io/scaler/internal/plan"
)

// A secret is its prefix, which scanners for leaked secrets can look for, 256
// random bits, and a checksum, by which a mistyped one is told from one that
// does not exist: scaler_[0-9A-Za-z]{49}.
const (
	secretPrefix  = "scaler_"
	secretRandom  = 43 // digits that 256 bits take
	secretSum     = 6  // digits that 32 bits take
	base62Digits  = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	secretEntropy = 32 // bytes
)

var (
	errForeign  = errors.New("it does not begin with " + secretPrefix)
	errMistyped = errors.New("its checksum is wrong")
)

// hash is the SHA-256 of a secret's text, which is what is kept of it.
type hash = [sha256.Size]byte

// newSecret makes a secret.
func newSecret() plan.Secret {
	var random [secretEntropy]byte
	_, _ = rand.Read(random[:]) // never fails: it would end the program
	return composeSecret(random)
}

func composeSecret(random [secretEntropy]byte) plan.Secret {
	s := secretPrefix + base62(new(big.Int).SetBytes(random[:]), secretRandom)
	return plan.Secret(s + checksum(s))
}

// checksum returns the digits that belong after a secret without them.
func checksum(s string) string {
	return base62(new(big.Int).SetUint64(uint64(crc32.ChecksumIEEE([]byte(s)))), secretSum)
}

// base62 writes a number with exactly so many digits, zeros before it.
func base62(n *big.Int, digits int) string {
	out := make([]byte, digits)
	base, digit := big.NewInt(int64(len(base62Digits))), new(big.Int)
	for i := digits - 1; i >= 0; i-- {
		n.DivMod(n, base, digit)
		out[i] = base62Digits[digit.Int64()]
	}
	return string(out)
}

// parseSecret returns the hash of a secret that could be one of ours, else
// errForeign for what was never meant to be one, or errMistyped for what is
// mistyped or cut off. White space around it, as a file's last line end, does
// not count.
func parseSecret(text string) (hash, error) {
	text = strings.TrimSpace(text)
	rest, ours := strings.CutPrefix(text, secretPrefix)
	switch {
	case !ours:
		return hash{}, errForeign
	case len(rest) != secretRandom+secretSum,
		checksum(secretPrefix+rest[:secretRandom]) != rest[secretRandom:],
		strings.Trim(rest, base62Digits) != "":
		return hash{}, errMistyped
	}
	return sha256.Sum256([]byte(text)), nil
}
