package gateway

import (
	"errors"
	"math/big"
	"regexp"
	"strings"
	"testing"
)

var secretForm = regexp.MustCompile(`^scaler_[0-9A-Za-z]{49}$`)

func TestSecretsHaveOneForm(t *testing.T) {
	seen := make(map[string]bool)
	for range 1000 {
		s := newSecret().Reveal()
		if !secretForm.MatchString(s) || seen[s] {
			t.Fatalf("secret %q is malformed or has been before", s)
		}
		seen[s] = true
		if _, err := parseSecret(s); err != nil {
			t.Fatalf("parse %q: %v", s, err)
		}
	}
	for name, fill := range map[string]byte{"all zeros": 0, "all ones": 0xff} {
		var random [secretEntropy]byte
		for i := range random {
			random[i] = fill
		}
		s := composeSecret(random).Reveal()
		if !secretForm.MatchString(s) {
			t.Errorf("%s: %q is malformed", name, s)
		}
		if got := value(s[len(secretPrefix):][:secretRandom]); got.Cmp(new(big.Int).SetBytes(random[:])) != 0 {
			t.Errorf("%s: the digits say %x", name, got)
		}
	}
}

// value reads base 62 by the book.
func value(digits string) *big.Int {
	n := new(big.Int)
	for _, d := range digits {
		n.Mul(n, big.NewInt(62)).Add(n, big.NewInt(int64(strings.IndexRune(base62Digits, d))))
	}
	return n
}

// The form is a promise to scanners for leaked secrets: it must not change.
func TestSecretFormIsFixed(t *testing.T) {
	var random [secretEntropy]byte
	for i := range random {
		random[i] = byte(i)
	}
	const want = "scaler_003aUlTJC7tjlCTQj2uNU3MFagCXG9LRKRcwGkBIDlf4LGlSu"
	if got := composeSecret(random).Reveal(); got != want {
		t.Errorf("secret = %s, want %s", got, want)
	}
}

func TestParseSecret(t *testing.T) {
	s := newSecret().Reveal()
	tests := map[string]struct {
		text string
		want error
	}{
		"as it is":                  {s, nil},
		"with a line end":           {s + "\r\n", nil},
		"empty":                     {"", errForeign},
		"one of Gitea":              {"BzcgyhjWhLeKGA4ihJIigeRDrcxrFESd0yizEpb7", errForeign},
		"upper case prefix":         {"SCALER_" + s[len(secretPrefix):], errForeign},
		"prefix alone":              {secretPrefix, errMistyped},
		"cut off":                   {s[:len(s)-1], errMistyped},
		"with one more":             {s + "0", errMistyped},
		"swapped":                   {s[:20] + flip(s[20:21]) + s[21:], errMistyped},
		"wrong checksum":            {s[:len(s)-1] + flip(s[len(s)-1:]), errMistyped},
		"space within":              {s[:20] + " " + s[21:], errMistyped},
		"not ASCII":                 {secretPrefix + strings.Repeat("é", 24) + "0", errMistyped},
		"two of them":               {s + s, errMistyped},
		"right sum of wrong digits": {withSum(secretPrefix + strings.Repeat("-", secretRandom)), errMistyped},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := parseSecret(tt.text); !errors.Is(err, tt.want) {
				t.Errorf("error = %v, want %v", err, tt.want)
			}
		})
	}
}

func withSum(s string) string { return s + checksum(s) }

func flip(digit string) string {
	if digit == "a" {
		return "b"
	}
	return "a"
}

func FuzzParseSecret(f *testing.F) {
	f.Add(newSecret().Reveal(), uint8(3), byte('x'))
	f.Add("scaler_", uint8(0), byte(0))
	f.Add("", uint8(200), byte(' '))
	f.Add(" "+newSecret().Reveal()+"\n", uint8(55), byte('0'))
	f.Fuzz(func(t *testing.T, text string, at uint8, other byte) {
		h, err := parseSecret(text)
		trimmed := strings.TrimSpace(text)
		if err != nil {
			if h != (hash{}) {
				t.Error("a hash beside an error")
			}
			return
		}
		if !secretForm.MatchString(trimmed) {
			t.Fatalf("%q was accepted", text)
		}
		i := int(at) % len(trimmed)
		changed := trimmed[:i] + string(rune(other)) + trimmed[i+1:]
		if strings.TrimSpace(changed) == trimmed {
			return
		}
		if _, err := parseSecret(changed); err == nil {
			t.Fatalf("%q was accepted as well as %q", changed, text)
		}
	})
}
