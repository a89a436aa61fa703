#!/bin/sh
":" /* # A shell reads from here to `exec node`. To Node.js all of that is one comment.

# Scripts call `wxtokend get` in loops, and Node.js takes forty milliseconds before it
# does anything. So the shell answers by itself, without a child process, if everything
# is plain. Whatever is not plain reaches Node.js unchanged: the same words, the same
# environment, and nothing printed so far. So each function returns 1 at any doubt.
# No line may hold a star with a slash behind it, which would end the comment.

# Lists and no ranges, which mean other characters in some languages.
wxt_digits=0123456789
wxt_small=abcdefghijklmnopqrstuvwxyz
wxt_word=_ABCDEFGHIJKLMNOPQRSTUVWXYZ$wxt_small$wxt_digits

# get NAME [--config FILE]: prints the token, and returns 0.
wxt_get() {
	local config directory file value
	case $# in
		2) config= ;;
		4) [ "$3" = --config ] && [ -n "$4" ] && config=$4 || return 1 ;;
		*) return 1 ;;
	esac
	case $2 in '' | -* | *[!$wxt_word-]*) return 1 ;; esac
	[ ${#2} -le 64 ] || wxt_is_file "$2" || return 1
	# They change what Node.js does, or where it looks.
	[ -z "$LD_PRELOAD$NODE_OPTIONS$WECHAT_APPID$RUNTIME_DIRECTORY" ] || return 1
	config=${config:-$WXTOKEND_CONFIG}
	wxt_locate "$2" "${config:-/etc/wxtokend/config.toml}" || return 1
	case $directory in /*) ;; *) return 1 ;; esac
	case $directory in *[!/.$wxt_word-]*) return 1 ;; esac
	# Not a link, nor a pipe, which would wait for its writer.
	[ -f "$directory/$file" ] && [ ! -L "$directory/$file" ] &&
		[ -r "$directory/$file" ] || return 1
	wxt_read "$directory/.$file.state" 2>/dev/null <"$directory/$file" || return 1
	# If it cannot be printed, Node.js tries it again, and says why. A reader that has
	# closed the pipe is no error.
	trap '' PIPE
	printf '%s\n' "$value" 2>/dev/null && return 0
	trap - PIPE
	return 1
}

# Whether a name is that of a published file, and no appid.
wxt_is_file() {
	case $1 in
		wx_access_token_?* | wx_component_access_token_?*) ;;
		wx_jsapi_ticket_?* | wx_card_ticket_?* | wx_sdk_ticket_?*) ;;
		wecom_access_token_?* | wecom_jsapi_ticket_?* | wecom_agent_ticket_?*) ;;
		wecom_provider_access_token_?* | wecom_suite_access_token_?*) ;;
		*) return 1 ;;
	esac
}

# Sets `directory` and `file` for a name, by that configuration.
wxt_locate() {
	if [ -r "$2" ]; then
		[ -f "$2" ] || return 1
		directory=/run/wxtokend
		wxt_configured "$1" <"$2"
		return
	fi
	# There is none, or the user of an app may not read it: the usual place.
	[ -z "$config" ] || [ -e "$2" ] || return 1
	directory=${WXTOKEND_DIRECTORY:-/run/wxtokend}
	if wxt_is_file "$1"; then file=$1; else file=wx_access_token_$1; fi
}

# Sets `value` to the token of the file on stdin, if it lives and is as it was published.
wxt_read() {
	local line more expire now
	IFS= read -r line || return 1
	IFS= read -r more && return 1
	[ -z "$more" ] || return 1
	value=${line#'{"value":"'}
	value=${value%%'"'*}
	expire=${line##*:}
	expire=${expire%'}'}
	[ "$line" = "{\"value\":\"$value\",\"expire\":$expire}" ] || return 1
	case $value in '' | *[!.~+/=:@$wxt_word-]*) return 1 ;; esac
	[ ${#value} -le 1024 ] || return 1
	case $expire in '' | 0* | ???????????* | *[!$wxt_digits]*) return 1 ;; esac
	wxt_is_unaltered "$1" && wxt_tell_time && [ "$expire" -gt "$now" ]
}

# A keeper gives the token file and its record the same time of change. Whoever writes
# one of them gives it another time, and then Node.js compares what they hold.
wxt_is_unaltered() {
	[ ! -L "$1" ] || return 1
	[ -e "$1" ] || return 0
	# These two shells compare times to the nanosecond. Others may see only seconds.
	[ /proc/self/exe -ef /bin/dash ] || [ /proc/self/exe -ef /bin/bash ] || return 1
	[ ! /proc/self/fd/0 -nt "$1" ] && [ ! /proc/self/fd/0 -ot "$1" ]
}

# Sets `now` to the present epoch second, or up to two seconds more. The system tells
# when it was started, and how long it has run. In some containers these two are of
# different machines; then this process seems not to be a new one.
wxt_tell_time() {
	local boot up rest
	while read -r boot rest; do
		[ "$boot" != btime ] || break
	done </proc/stat
	boot=$rest
	read -r up rest </proc/uptime
	up=${up%.*}
	read -r rest </proc/self/stat
	# Behind the name of the program its start is the 20th word, in hundredths.
	set -- ${rest##*) }
	case :$boot:$up:${20}: in *::* | *[!:$wxt_digits]*) return 1 ;; esac
	set -- $((up - ${20} / 100))
	[ "$1" -ge 0 ] && [ "$1" -le 5 ] || return 1
	now=$((boot + up + 2))
}

# Sets `directory` and `file` by the configuration on stdin, if it is a short one that
# has only such lines: [table], [[table]], # comment, and keys whose value is a text, a
# whole number, true, false or a list of texts. What these say needs no parser.
wxt_configured() {
	local line lines table tables keys key rest text texts appid own tickets found
	lines=0 found=0 table=top tables=' ' keys=' '
	while IFS= read -r line; do
		lines=$((lines + 1))
		[ $lines -le 100 ] || return 1
		case $line in *[[:cntrl:]]*) return 1 ;; esac
		line=${line#"${line%%[! ]*}"}
		case $line in
			'' | '#'*) ;;
			'['*) wxt_end_account "$1" && wxt_begin_table || return 1 ;;
			*) wxt_take_key || return 1 ;;
		esac
	done
	# The last line must have an end.
	[ -z "$line" ] && wxt_end_account "$1" && [ $found = 1 ]
}

# A line like [wechat] or [[account]]. Only a list of tables may go on.
wxt_begin_table() {
	key=${line#[}
	key=${key%]}
	case $key in
		'['*']')
			key=${key#[}
			key=${key%]}
			case $tables in *" $key "*) return 1 ;; esac
			tables="$tables[$key] "
			;;
		*)
			case $tables in *" $key "* | *" [$key] "*) return 1 ;; esac
			tables="$tables$key "
			;;
	esac
	[ "$line" = "[$key]" ] || [ "$line" = "[[$key]]" ] || return 1
	case $key in '' | *[!$wxt_small]*) return 1 ;; esac
	table=$key keys=' ' appid= own= tickets=
}

# Whether the account that ends here has what was asked for.
wxt_end_account() {
	local ticket
	[ "$table" = account ] && [ -n "$appid" ] || return 0
	case $1 in
		wx_jsapi_ticket_"$appid") ticket=jsapi ;;
		wx_card_ticket_"$appid") ticket=wx_card ;;
		wx_sdk_ticket_"$appid") ticket=sdk ;;
		"$appid")
			[ -z "$own" ] && ! wxt_is_file "$1" || return 1
			file=wx_access_token_$1
			found=$((found + 1))
			return 0
			;;
		*) return 0 ;;
	esac
	case $tickets in *"\"$ticket\""*) file=$1 found=1 ;; esac
}

# A line like: key = value
wxt_take_key() {
	key=${line%%[!_$wxt_small]*}
	rest=${line#"$key"}
	wxt_skip_blanks
	[ -n "$key" ] && [ "${rest#=}" != "$rest" ] || return 1
	case $keys in *" $key "*) return 1 ;; esac
	keys="$keys$key "
	# No table may have the name of a key at the top.
	[ "$table" != top ] || tables="$tables$key "
	rest=${rest#=} text= texts=
	wxt_skip_blanks
	case $rest in
		'"'*) wxt_take_text || return 1 ;;
		'['*) wxt_take_texts || return 1 ;;
		true*) rest=${rest#true} ;;
		false*) rest=${rest#false} ;;
		0*) rest=${rest#0} ;;
		[$wxt_digits]*) rest=${rest#"${rest%%[!$wxt_digits]*}"} ;;
		*) return 1 ;;
	esac
	wxt_skip_blanks
	case $rest in '' | '#'*) ;; *) return 1 ;; esac
	case $table.$key in
		top.directory) directory=$text ;;
		account.appid) appid=$text ;;
		account.file) own=yes ;;
		account.tickets) tickets=$texts ;;
	esac
}

wxt_skip_blanks() {
	rest=${rest#"${rest%%[! ]*}"}
}

# Takes "…" from the beginning of `rest` into `text`.
wxt_take_text() {
	case $rest in '"'*'"'*) text=${rest#'"'} ;; *) return 1 ;; esac
	rest=${text#*'"'}
	text=${text%%'"'*}
	case $text in *\\*) return 1 ;; esac
}

# Takes ["…", …] from the beginning of `rest` into `texts`, each one with its quotes.
wxt_take_texts() {
	rest=${rest#[}
	wxt_skip_blanks
	while [ "${rest#]}" = "$rest" ]; do
		wxt_take_text || return 1
		texts="$texts\"$text\""
		wxt_skip_blanks
		case $rest in ,*) rest=${rest#,} ;; ]*) ;; *) return 1 ;; esac
		wxt_skip_blanks
	done
	rest=${rest#]} text=
}

[ "$1" = get ] && wxt_get "$@" && exit 0
exec node "$0" "$@"
*/
