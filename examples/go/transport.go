package wxtokend

import (
	"bufio"
	"io"
	"net/http"
	"regexp"
	"strings"
)

// Transport sends a call once more if WeChat refused its access_token. It is for all that takes an *http.Client:
//
//	client := &http.Client{Transport: &wxtokend.Transport{Reader: reader}}
//	util.DefaultHTTPClient = client // silenceper/wechat
type Transport struct {
	Reader *Reader
	Base   http.RoundTripper
}

var refused = regexp.MustCompile(`^\s*\{\s*"errcode"\s*:\s*(40001|40014|42001)\b`)

// RoundTrip never reports the tokens of web logins: those in /sns/ are none of wxtokend's.
func (t *Transport) RoundTrip(request *http.Request) (*http.Response, error) {
	base := t.Base
	if base == nil {
		base = http.DefaultTransport
	}
	answer, err := base.RoundTrip(request)
	query := request.URL.Query()
	stale := query.Get("access_token")
	if err != nil || stale == "" || strings.HasPrefix(request.URL.Path, "/sns/") || !isRefused(answer) {
		return answer, err
	}
	other := t.Reader.Replacement(stale)
	again := request.Clone(request.Context())
	if other == "" || request.Body != nil && request.GetBody == nil {
		return answer, nil // a stream cannot be sent twice; the next call works
	}
	if request.GetBody != nil {
		if again.Body, err = request.GetBody(); err != nil {
			return answer, nil
		}
	}
	answer.Body.Close()
	query.Set("access_token", other)
	again.URL.RawQuery = query.Encode()
	return base.RoundTrip(again)
}

// isRefused looks at the first bytes and leaves the body whole, however long.
func isRefused(answer *http.Response) bool {
	body := bufio.NewReader(answer.Body)
	head, _ := body.Peek(64)
	answer.Body = struct {
		io.Reader
		io.Closer
	}{body, answer.Body}
	return refused.Match(head)
}
