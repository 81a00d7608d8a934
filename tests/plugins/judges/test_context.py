from sftframe_plugins.judges.ollama import is_sure_to_fit, least_tokens


def test_a_message_that_is_shorter_than_the_context_in_bytes_is_sure_to_fit():
    messages = [{"role": "user", "content": "é" * 100}]  # 200 bytes, and 128 for the template
    assert is_sure_to_fit(messages, 328)
    assert not is_sure_to_fit(messages, 327)


def test_there_are_at_least_as_many_tokens_as_words_and_as_the_longest_tokens_need():
    assert least_tokens([{"content": "one two"}, {"content": "three"}]) == 3
    assert least_tokens([{"content": "x" * 1280}]) == 10
