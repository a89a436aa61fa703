// Package wxtokend gives WeChat calls the token that wxtokend keeps, and never fetches one. Go 1.19+.
package wxtokend

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Reader reads the token of one account, and reports one that WeChat refused.
type Reader struct{ AppID, File, Socket string }

// New takes the directory of the token files: "/run/wxtokend".
func New(appID, directory string) *Reader {
	return &Reader{appID, directory + "/wx_access_token_" + appID, directory + "/control.sock"}
}

// Token is read before every call: it may be another one at any moment.
func (r *Reader) Token() (string, error) {
	found, err := r.read()
	if err == nil && found.Expire <= time.Now().Unix() {
		err = errors.New("could not use " + r.File + ": its token has expired; see wxtokend status")
	}
	return found.Value, err
}

// Replacement is the token to use instead of one that WeChat refused; "" if there is no other.
func (r *Reader) Replacement(stale string) string {
	other, err := r.read()
	if err == nil && other.Value == stale {
		other, err = r.report(stale)
	}
	if err != nil || other.Value == stale {
		return "" // WeChat's own answer tells more than this error
	}
	return other.Value
}

type token struct {
	Value  string
	Expire int64
}

func (r *Reader) read() (found token, err error) {
	if url := os.Getenv("WXTOKEND_URL"); url != "" { // of wxtokend on another host, instead of file and socket
		return r.ask(url+"/v1/credentials/"+filepath.Base(r.File)+"/token", http.DefaultTransport, "GET", "")
	}
	text, err := os.ReadFile(r.File)
	if err == nil && (json.Unmarshal(text, &found) != nil || found.Value == "") {
		err = errors.New("could not use " + r.File + ": it holds no token; see wxtokend status")
	}
	return found, err
}

func (r *Reader) report(stale string) (found token, err error) {
	url, body := os.Getenv("WXTOKEND_URL"), `{"stale":"`+stale+`"}`
	if url != "" {
		return r.ask(url+"/v1/credentials/"+filepath.Base(r.File)+"/refresh", http.DefaultTransport, "POST", body)
	}
	dial := func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", r.Socket) }
	socket := &http.Transport{DialContext: dial, DisableKeepAlives: true}
	return r.ask("http://wxtokend/v1/accounts/"+r.AppID+"/refresh", socket, "POST", body)
}

func (r *Reader) ask(url string, by http.RoundTripper, method, body string) (found token, err error) {
	request, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return found, err
	}
	if bearer, _ := os.ReadFile(os.Getenv("WXTOKEND_BEARER_FILE")); len(bearer) > 0 {
		request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(bearer)))
	}
	answer, err := (&http.Client{Transport: by, Timeout: 25 * time.Second}).Do(request) // it may ask WeChat first
	if err == nil {
		defer answer.Body.Close()
		err = json.NewDecoder(answer.Body).Decode(&found)
	}
	if err == nil && found.Value == "" {
		err = errors.New("could not use " + url + ": " + answer.Status)
	}
	return found, err
}
