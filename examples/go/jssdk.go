package wxtokend

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"time"
)

// RequestPage is as SignPage, but wxtokend signs, and the ticket does not leave it.
func (r *Reader) RequestPage(url string) (PageConfig, error) {
	var signed struct {
		PageConfig
		Message string
	}
	dial := func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", r.Socket) }
	connection := &http.Transport{DialContext: dial, DisableKeepAlives: true}
	keeper := http.Client{Transport: connection, Timeout: 10 * time.Second}
	body, err := json.Marshal(map[string]string{"url": url})
	if err != nil {
		return PageConfig{}, err
	}
	path := "/v1/accounts/" + r.AppID + "/jssdk"
	answer, err := keeper.Post("http://wxtokend"+path, "application/json", bytes.NewReader(body))
	if err != nil {
		return PageConfig{}, err
	}
	defer answer.Body.Close()
	if err = json.NewDecoder(answer.Body).Decode(&signed); err == nil && signed.Signature == "" {
		err = errors.New("could not sign a page: " + signed.Message)
	}
	return signed.PageConfig, err
}
