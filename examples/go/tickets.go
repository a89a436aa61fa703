package wxtokend

import (
	"crypto/rand"
	"crypto/sha1"
	"encoding/hex"
	"math/big"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"
)

// PageConfig is what wx.config takes, as JSON.
type PageConfig struct {
	AppID     string `json:"appId"`
	Timestamp int64  `json:"timestamp"`
	NonceStr  string `json:"nonceStr"` // in the text that is signed it is noncestr
	Signature string `json:"signature"`
}

// Ticket is "jsapi" or "card". It is read at every use: it may be another one at any moment.
func (r *Reader) Ticket(kind string) (string, error) {
	file := filepath.Join(filepath.Dir(r.File), "wx_"+kind+"_ticket_"+r.AppID)
	return (&Reader{File: file}).Token()
}

// SignPage takes the page's address as the browser has it, location.href.split("#")[0], a nonce and the time.
func (r *Reader) SignPage(url, nonce string, at time.Time) (PageConfig, error) {
	ticket, err := r.Ticket("jsapi")
	if err != nil {
		return PageConfig{}, err
	}
	address, _, _ := strings.Cut(url, "#")
	seconds := strconv.FormatInt(at.Unix(), 10)
	text := "jsapi_ticket=" + ticket + "&noncestr=" + nonce + "&timestamp=" + seconds + "&url=" + address
	return PageConfig{r.AppID, at.Unix(), nonce, Signature(text)}, nil
}

// SignCard adds the signature to cardExt. It has timestamp and nonce_str, and if they are used code and openid.
func (r *Reader) SignCard(cardID string, cardExt map[string]string) error {
	ticket, err := r.Ticket("card")
	if err != nil {
		return err
	}
	values := []string{ticket, cardID}
	for _, value := range cardExt {
		values = append(values, value)
	}
	cardExt["signature"] = Signature(values...)
	return nil
}

// Signature is the SHA-1 of the values, sorted by bytes.
func Signature(values ...string) string {
	values = append([]string(nil), values...)
	sort.Strings(values)
	sum := sha1.Sum([]byte(strings.Join(values, "")))
	return hex.EncodeToString(sum[:])
}

// Nonce is a new one for each page.
func Nonce() string {
	random, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	return random.Text(36)
}
