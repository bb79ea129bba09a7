package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"scaler.io/scaler/internal/plan"
)

// The headers of a delivery.
const (
	headerEvent     = "X-Gitea-Event"
	headerDelivery  = "X-Gitea-Delivery"
	headerSignature = "X-Gitea-Signature"   // HMAC-SHA256 of the body, in hex
	headerHub       = "X-Hub-Signature-256" // the same after "sha256="
)

// signatureOf returns the signature that a request has; ok is false if it has
// none that could be right. Without a secret Gitea sends empty ones.
func signatureOf(h http.Header) (sum []byte, ok bool) {
	text := h.Get(headerSignature)
	if text == "" {
		text, _ = strings.CutPrefix(h.Get(headerHub), "sha256=")
	}
	sum, err := hex.DecodeString(text)
	return sum, err == nil && len(sum) == sha256.Size
}

// sign returns the signature of a body.
func sign(secret plan.Secret, body []byte) []byte {
	mac := hmac.New(sha256.New, []byte(secret.Reveal()))
	mac.Write(body)
	return mac.Sum(nil)
}

// verify checks a signature, in a time that does not depend on where it is
// wrong. The error is that of reading the secret.
func (r *Receiver) verify(sum, body []byte) (good bool, err error) {
	secret, err := r.cfg.Secret()
	switch {
	case err != nil:
		return false, fmt.Errorf("read webhook secret: %w", err)
	case secret == "":
		return false, errors.New("read webhook secret: it is empty")
	}
	return hmac.Equal(sum, sign(secret, body)), nil
}
